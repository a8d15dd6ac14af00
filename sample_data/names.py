"""Invented people's names, from several locales. They are planted in text and stand nowhere in `anonymize/`."""

_FIRST = """
    Adaeze Aditi Agnieszka Ainhoa Aisha Alastair Alejandra Amara Amélie Anastasia Anders Anjali Annika Antoine Aoife Arjun Armando
    Astrid Ayesha Ayumi Azadeh Baptiste Beatriz Benedikt Bilal Bjorn Blessing Bogdan Brigitte Bronwyn Callum Camille Carmen Cedric
    Chiara Chidi Chloe Ciaran Clémence Cosmin Dalia Damian Darius Deepak Delphine Devon Diego Dimitri Dolores Dragana Ebony Edgar
    Eduardo Eilidh Elena Elif Emeka Emilia Enrique Esperanza Esther Etienne Fabian Farah Fatima Felicity Fernanda Fiona Florian
    Francesca Freya Gareth Genevieve Giovanni Graham Greta Guadalupe Gwen Hamza Hannah Haruka Hassan Heather Hector Helena Hiroshi
    Ibrahim Ignacio Ines Ingrid Isabela Ismael Jacinta Jamal Janelle Javier Jerome Joanna Joaquin Jonas Josephine Julieta Kaito
    Kareem Katarzyna Kavya Keisha Kenji Khadija Kofi Kwame Laila Lakshmi Lamar Latisha Leandro Leila Liam Lorenzo Lourdes Lucia
    Ludovic Magdalena Malik Manuela Marcus Margaux Marisol Martina Mateo Mathilde Mehmet Meera Mei Miguel Milena Mireille Mohammed
    Monique Nadia Naomi Natalia Nikhil Niamh Noémie Nomvula Octavio Olivia Omar Osvaldo Oluwaseun Owen Paloma Pascal Patricia Paulina
    Petra Priya Quentin Rafael Raquel Rashid Renata Rhiannon Roberto Rosalind Ruth Sabine Salma Samira Sandeep Santiago Saoirse Sergio
    Shanice Simone Sipho Siobhan Sofia Soledad Stefan Sunita Takumi Tamara Tanisha Tariq Tatiana Teresa Thandiwe Thierry Tobias Tomás
    Tyrone Ulrike Valentina Vanessa Veronica Viktor Vikram Wanjiru Xavier Ximena Yasmin Yolanda Yusuf Yvonne Zainab Zofia Zoltan
    """
FIRST_NAMES = tuple(_FIRST.split())

_LAST = """
    Abara Abdullahi Acosta Adeyemi Agarwal Aguilar Ahmadi Akintola Albrecht Almeida Andersson Antonelli Aoki Arslan Ashworth Awad
    Balogun Banerjee Barrios Beaumont Becker Bennani Bergström Bhatt Bianchi Blanchard Bouchard Brennan Brzezinski Caballero
    Callaghan Campbell Cardoso Carvalho Castellanos Cervantes Chaudhry Chevalier Chukwu Cisneros Coleman Contreras Cooper Costa
    Cunningham Da-Silva Dąbrowski Delacroix Delgado Demir Desai Diallo Dimitrov Dlamini Donnelly Dubois Echeverría Edwards Eriksen
    Escobar Espinoza Fairbanks Farouk Fernandes Ferreira Fischer Fitzgerald Fontaine Fournier Friedman Fujimoto Gallagher Garnier
    Gauthier Ghorbani Giordano Gómez Goldberg Gonzalez Gordon Grabowski Griffiths Guerrero Gupta Gutiérrez Haddad Hashimoto Hawthorne
    Henriksen Hernandez Hoffmann Horvat Hughes Ibarra Ivanova Jackson Jankowski Jaramillo Jimenez Johansson Kamau Kapoor Karlsson
    Kaufmann Kavanagh Khoury Kimura Kowalczyk Krishnan Kruger Lambert Laurent Lefebvre Lindqvist Lombardi Lozano Lundgren Macdonald
    Maldonado Marchetti Marchand Martinez Mbeki McAllister Medina Mehta Mendoza Mercier Mitchell Mokoena Montgomery Moreau Morales
    Mukherjee Müller Mwangi Nakamura Navarro Ndiaye Nguyen Nielsen Novak Nowak Nunez Obafemi O'Brien O'Connor Okafor Okonkwo Olsen
    Orozco Osei Özdemir Pacheco Palmer Papadopoulos Patel Pelletier Pereira Petrov Pham Popescu Quintero Qureshi Rahman Ramírez
    Reddy Renaud Reynolds Ricci Robertson Rodriguez Romero Rossi Rousseau Rutherford Saito Salazar Santos Schneider Sepúlveda Sharma
    Shevchenko Sinclair Sithole Sokolov Sørensen Stewart Suleiman Svensson Szabó Takahashi Tanaka Thompson Torres Townsend Tremblay
    Ueda Valdez Vargas Vasquez Vega Villanueva Wagner Wallace Watanabe Weber Whitfield Williams Wójcik Yamamoto Yilmaz Zamora Zhang
    """
LAST_NAMES = tuple(_LAST.split())

STREETS = (
    "Alder Lane", "Brookside Avenue", "Chestnut Road", "Dunmore Street", "Elmhurst Drive", "Fairview Terrace", "Garrison Road",
    "Hollow Oak Court", "Ivybridge Close", "Juniper Street", "Kestrel Way", "Larkspur Lane", "Maplewood Avenue", "Northgate Street",
    "Orchard Row", "Pinecrest Boulevard", "Quarry Hill Road", "Rosewood Crescent", "Saltmarsh Lane", "Tannery Street",
)  # fmt: skip
STREETS_ES = ("Calle del Olmo", "Avenida de los Pinos", "Calle Molino Viejo", "Paseo de la Ribera", "Calle Tres Fuentes")
STREETS_FR = ("rue des Tilleuls", "avenue du Moulin", "rue de la Fontaine Vieille", "impasse des Lilas", "boulevard du Verger")
TOWNS = (
    "Brookfield", "Ashcombe", "Millbridge", "Fenwick Falls", "Harrow Creek", "Stonebury", "Larkhaven", "Westmere", "Oakhollow",
    "Penrose Bay", "Thornwick", "Cedar Point",
)  # fmt: skip
SCHOOLS = (
    "Northfield High School", "Larkhaven Middle School", "Saint Aubin Academy", "Westmere Community College", "Thornwick Primary",
    "Stonebury Grammar School", "Harrow Creek University", "Ashcombe Sixth Form", "Cedar Point Elementary", "Oakhollow Technical Institute",
)  # fmt: skip
SCHOOLS_ES = ("Instituto Tres Fuentes", "Colegio San Olmedo", "Universidad de Valderribera")
SCHOOLS_FR = ("Collège Saint-Aubin", "Lycée des Tilleuls", "Université de Valfontaine")
WORKPLACES = (
    "Harlow & Finch Bakery", "Brightwater Logistics", "Penrose Bay Hospital", "Quillon Insurance", "Tannery Street Garage",
    "Fenwick Falls Library", "Dunmore Textiles", "Larkspur Dental Care", "Norvane Software", "Stonebury Garden Centre",
    "Millbridge Fire Station", "Ostrava Steel Works", "Copperleaf Hotel", "Redfern & Vale Solicitors",
)  # fmt: skip
HANDLE_WORDS = (
    "river", "otter", "comet", "maple", "pixel", "ember", "lunar", "willow", "falcon", "cobalt", "meadow", "static", "velvet", "harbor",
)  # fmt: skip
